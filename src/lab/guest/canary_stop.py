# Takes the canaries away.
import subprocess

for words in (
    ("systemctl", "stop", "lab-canary"),
    ("docker", "rm", "-f", "lab-canary", "lab-canary6"),
    ("docker", "network", "rm", "lab-canary6"),
):
    subprocess.run(words, capture_output=True, check=False)
print("true")
