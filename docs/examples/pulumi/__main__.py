"""A server at DigitalOcean, by Pulumi: `DIGITALOCEAN_TOKEN=… pulumi up`."""
import subprocess

import pulumi
import pulumi_digitalocean as digitalocean

profile = pulumi.Config().get("profile") or "../shop.yaml"
command = ["julia-bootstrap", "-q", "render", profile, "--provider", "digitalocean"]
user_data = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

server = digitalocean.Droplet(
    "shop",
    name="shop",
    image="debian-13-x64",
    region="fra1",
    size="s-2vcpu-4gb",
    ipv6=True,
    # Given secrets are in it.
    user_data=pulumi.Output.secret(user_data),
    # Other user-data would mean another machine, and the end of this one's data. For a new one: `pulumi up --replace URN`.
    opts=pulumi.ResourceOptions(ignore_changes=["user_data"]),
)
pulumi.export("address", server.ipv4_address)
