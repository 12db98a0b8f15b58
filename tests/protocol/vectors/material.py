"""What the messages are made of: IDs, records of devices, tasks and results."""

from __future__ import annotations

ID_A = bytes.fromhex("0f8fad5bd9cb469fa16570867728950e")
ID_B = bytes.fromhex("7c9e6679742540de944be07fc1f90ae7")
INSTANCE = bytes(range(16))
HELLO_MAP = b"\x81\xa7message\xa2hi"  # {"message": "hi"}, as a payload
ECHO_MAP = b"\x81\xa4echo\x01"
NONE = b"\xc0"
ATTEMPT = 7 * 2**40 + 3
T0 = 1_700_000_000_000_000

CAPABILITY = {
    "device_id": "laptop-1",
    "role": "worker",
    "platform": "linux",
    "arch": "x86_64",
    "cpu_count": 8,
    "memory_total_gb": 15.5,
    "storage_total_gb": 256,
    "has_gpu": False,
    "has_internet": True,
    "tags": [],
    "handlers": ["echo", "sleep"],
    "slots": 8,
    "version": "0.1.0",
}
CAPABILITY_FULL = {
    **CAPABILITY,
    "role": "mobile",
    "platform": "android",
    "tags": ["gpu-capable", "küche"],
    "resources": {"licence": 2, "bandwidth": 12.5},
    "isolation": "basic",
    "refused_plugins": ["old.so: made for ABI version 0, this is 1"],
    "plugins": [f"echo 0.1.0 sha256:{'0f' * 32} /usr/lib/echo.so"],
}
PLUGIN_A = f"echo 0.1.0 sha256:{'0f' * 32}"
PLUGIN_B = f"echo 0.2.0 sha256:{'f0' * 32}"
REQUIREMENTS_FULL = {
    "min_cpu_cores": 4,
    "min_memory_gb": 8,
    "min_storage_gb": 100.5,
    "gpu_required": True,
    "internet_required": True,
    "required_platform": "linux",
    "required_role": "compute",
    "required_tags": ["gpu-capable"],
    "timeout_seconds": 60,
    "max_retries": 0,
    "resources": {"licence": 1},
    "at_most_once": True,
    "min_isolation": "strict",
}
REQUIREMENTS_DEFAULT = {
    "min_cpu_cores": 0,
    "min_memory_gb": 0,
    "min_storage_gb": 0,
    "gpu_required": False,
    "internet_required": False,
    "required_platform": "",
    "required_role": "",
    "required_tags": [],
    "timeout_seconds": 300,
    "max_retries": 3,
    "resources": {},
    "at_most_once": False,
    "min_isolation": "",
}
TASK_QUEUED = {
    "task_id": ID_A,
    "task_type": "echo",
    "payload": HELLO_MAP,
    "priority": "normal",
    "requirements": {},
    "metadata": b"\x80",
    "group": "",
    "status": "queued",
    "reason": "no_handler",
    "created_at": T0,
    "assigned_at": None,
    "started_at": None,
    "completed_at": None,
    "assigned_device_id": None,
    "retry_count": 0,
    "error_history": [],
}
TASK_FINAL = {
    **TASK_QUEUED,
    "task_id": ID_B,
    "priority": "urgent",
    "requirements": {"timeout_seconds": 2.5},
    "group": "anna",
    "status": "failed",
    "reason": None,
    "assigned_at": T0 + 10,
    "started_at": T0 + 20,
    "completed_at": T0 + 30,
    "assigned_device_id": "laptop-1",
    "retry_count": 1,
    "error_history": [
        {
            "attempt": ATTEMPT,
            "device_id": "laptop-1",
            "outcome": "crashed",
            "error_message": "signal 9",
            "at": T0 + 15,
        }
    ],
    "result": {
        "data": None,
        "error_message": "no",
        "error_traceback": "line 1",
        "run_us": 10,
        "logs": [[2, 5, "starting"]],
    },
}
DEVICE = {
    **CAPABILITY,
    "state": "online",
    "state_reason": "",
    "load": 2,
    "system_load": 0.75,
    "held": 3,
    "last_seen": T0,
    "connected": True,
    "attempts_succeeded": 10,
    "attempts_failed": 1,
    "attempts_lost": 0,
}
EXPLANATION = {
    "task_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "status": "queued",
    "reason": "no_device",
    "position": 3,
    "devices": [
        {
            "device_id": "laptop-1",
            "verdict": "unmet",
            "unmet": [{"requirement": "min_memory_gb", "wanted": 64, "has": 15.5}],
        }
    ],
    "nearest": "laptop-1",
}
STATISTICS = {
    "cluster_stats": {
        "online_devices": 1,
        "total_devices": 2,
        "total_capacity": 8,
        "total_load": 2,
        "cluster_utilization": 25.0,
    },
    "queue_stats": {
        "total_tasks": 4,
        "by_status": {"queued": 2, "running": 2},
        "by_priority": {"normal": 4},
        "by_device": {"laptop-1": 2},
        "by_type": {"echo": 4},
    },
    "scheduler_stats": {
        "tasks_scheduled": 2,
        "tasks_completed": 0,
        "tasks_failed": 0,
        "tasks_retried": 0,
        "attempts_lost": 2,
        "leases_expired": 1,
        "results_stale": 1,
        "uptime_seconds": 12.5,
    },
    "device_stats": {
        "laptop-1": {"capacity": 8, "load": 2, "utilization": 25.0, "capabilities": {"role": "worker"}}
    },
}
WELCOME = {
    "version": 1,
    "program": "retire-cluster-main 0.1.0",
    "instance": INSTANCE,
    "epoch": 7,
    "durable": False,
    "heartbeat_ms": 5000,
    "offline_after_ms": 15000,
    "lease_ms": 30000,
    "message_bytes_max": 33554432,
    "payload_bytes_max": 16777216,
    "result_bytes_max": 16777216,
}
HELLO_CLIENT = {"peer": "client", "versions": [1, 1], "program": "test 1.0", "instance": INSTANCE}
HELLO_WORKER = {**HELLO_CLIENT, "peer": "worker", "device": CAPABILITY, "held": []}
SPEC = ["echo", 2, {}, ""]
SUBMIT = {"specs": [SPEC], "tasks": [[None, 0, HELLO_MAP]]}
ASSIGN = {"specs": [["echo", 300000, 2, False]], "tasks": [[ID_A, ATTEMPT, 0, HELLO_MAP, 1]]}
RESULT_ITEM = [ID_A, 4, ECHO_MAP, 0, T0 + 20, T0 + 30, 10]
RESULTS = {"devices": ["laptop-1"], "results": [RESULT_ITEM]}
FINISHED_ITEM = [ID_A, ATTEMPT, 1, ECHO_MAP, 10]
FINISHED = {"results": [FINISHED_ITEM]}
CHECKPOINT = b"\x93\x01\x02\x03"
PROGRESS_ITEM = [ATTEMPT, 0.5, "half", 2]
PROGRESS_FULL = [*PROGRESS_ITEM, [[2, 9, "line 2"], [3, 10, "line 3"]], CHECKPOINT]
LOG_LINES = {
    "status": "running",
    "attempt": 2,
    "lines": [[2, 5, "starting"]],
    "next": 2 * 2**32 + 1,
    "missed": 3,
}
