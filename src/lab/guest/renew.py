# Renews the certificate of one name now, as certbot's timer would, with the unit's own environment.
import json
import os
import subprocess
import sys

environment = dict(os.environ)
ca = "/etc/julia-bootstrap/acme-ca.pem"
if os.path.exists(ca):
    environment["REQUESTS_CA_BUNDLE"] = ca
words = ["certbot", "renew", "-n", "--force-renewal", "--no-random-sleep-on-renew", "--cert-name", sys.argv[1]]
done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
print(json.dumps({"code": done.returncode, "said": (done.stdout + done.stderr).strip()[-600:]}))
