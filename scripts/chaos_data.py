"""Writers into a machine's PostgreSQL and Redis, which remember what was acknowledged, and when."""
import subprocess
import threading
import time

# `appendfsync everysec`: what Redis said yes to so many seconds before the power went may be gone.
REDIS_SECONDS = 2.0


class Writer(threading.Thread):
    """Numbers, one after another, into one service; `acknowledged` has each with the moment of its yes."""

    def __init__(self, guest, service):
        super().__init__(daemon=True)
        self.guest, self.service = guest, service
        self.acknowledged, self.over = {}, threading.Event()
        self.number = 0

    def container(self):
        """The service's container, as Docker calls it now."""
        return f"$(docker ps -q -f label=com.docker.compose.service={self.service} | head -1)"

    def run(self):
        while not self.over.is_set():
            try:
                self.talk()
            except (OSError, ValueError, subprocess.SubprocessError):
                pass
            self.over.wait(0.5)

    def talk(self):
        """One connection, for as long as it lasts."""
        command = self.guest.words(f"exec docker exec -i {self.container()} {self.client}")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                while not self.over.is_set():
                    self.number += 1
                    process.stdin.write(self.line(self.number))
                    process.stdin.flush()
                    answer = process.stdout.readline()
                    if not answer:
                        return
                    if self.yes(answer.strip(), self.number):
                        self.acknowledged[self.number] = time.monotonic()
                    self.over.wait(0.02)
            finally:
                process.kill()

    def stop(self):
        """No more of it."""
        self.over.set()
        self.join(20)


class Postgres(Writer):
    """Rows of a table."""
    # Over the socket inside its container nobody is asked for a password; over TCP the image may do so.
    client = "psql -qAtX -U postgres chaos"

    def __init__(self, guest, service):
        super().__init__(guest, service)
        guest.run(f"docker exec {self.container()} psql -qAtX -U postgres -c 'CREATE DATABASE chaos'")
        guest.run(f"docker exec {self.container()} {self.client} -c 'CREATE TABLE rows (n bigint PRIMARY KEY)'")

    def line(self, number):
        """What the client is told."""
        return f"INSERT INTO rows VALUES ({number}) RETURNING n;\n"

    def yes(self, answer, number):
        """Whether that was an acknowledgement."""
        return answer == str(number)

    def lost(self, _cut):
        """What was acknowledged and is not there."""
        there = set(map(int, self.guest.run(f"docker exec {self.container()} {self.client} -c 'SELECT n FROM rows'").split()))
        return sorted(set(self.acknowledged) - there)


class Redis(Writer):
    """A list that grows."""
    client = "redis-cli"

    def line(self, number):
        """What the client is told."""
        return f"RPUSH chaos {number}\n"

    def yes(self, answer, _number):
        """Whether that was an acknowledgement."""
        return answer.split()[-1:] != [] and answer.split()[-1].isdigit()

    def lost(self, cut):
        """What was acknowledged earlier than Redis' second before the power went (`cut`, if it did), and is not there."""
        there = set(map(int, self.guest.run(f"docker exec {self.container()} {self.client} LRANGE chaos 0 -1").split()))
        late = cut - REDIS_SECONDS if cut else float("inf")
        return sorted(number for number, moment in self.acknowledged.items() if number not in there and moment < late)


KINDS = {"postgres": Postgres, "redis": Redis}


def start(guest):
    """A writer into each store that the machine runs."""
    services = guest.run("docker ps --format '{{.Label \"com.docker.compose.service\"}}'").split()
    writers = [kind(guest, name) for name, kind in KINDS.items() if name in services]
    for writer in writers:
        writer.start()
    return writers
