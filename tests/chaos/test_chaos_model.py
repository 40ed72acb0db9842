"""Whatever the cloud, the receivers and the power cord do, in any order: the short form of run H."""

from pathlib import Path

from chaos_model import CLUSTERS, play, prepared


def test_nothing_is_lost_invented_or_out_of_order_in_whatever_order_things_happen(tmp_path: Path) -> None:
    play(tmp_path, examples=30, steps=25)


def test_what_is_sent_again_may_come_after_what_did_not_wait_for_it(tmp_path: Path) -> None:
    story = prepared(tmp_path)()
    try:
        story.first_look()
        story.the_cloud_moves_on(665)
        story.a_poll(CLUSTERS[0], "fresh")
        story.a_delivery("hook", 1, "refused for good")
        story.a_delivery("hook", 1, "delivered")
        story.dead_letters_are_sent_again()
        story.a_crash()
    finally:
        story.teardown()
