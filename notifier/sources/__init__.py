"""The doors in: the API of Huawei Cloud CSS, and a simulation of it."""
