"""Labels the windows of a picture on many machines, by Ray; only numbers of windows travel."""

from downup.prediction.cluster.crew import Crew, WindowsError
from downup.prediction.cluster.machines import Cluster
from downup.prediction.cluster.worker import Task, Worker

__all__ = ["Cluster", "Crew", "Task", "WindowsError", "Worker"]
