"""What holds for every test: no law is judged by how long its examples took, since the machine may be doing other things."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
