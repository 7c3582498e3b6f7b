# A server at AWS Lightsail, by OpenTofu or Terraform.
#
#   julia-bootstrap render my.yaml --provider lightsail -o user-data
#   tofu init && tofu apply
#
# Lightsail takes 14 KB, which a hardened Docker host has (the profile `minimal`). For a stack add `--bundle-url URL` and upload what
# `julia-bootstrap bundle` writes. The user-data, and the secrets that are given in it, will be in the state.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "name" {
  type    = string
  default = "host"
}

variable "zone" {
  type    = string
  default = "eu-central-1a"
}

variable "plan" {
  type        = string
  default     = "medium_3_0"
  description = "`julia-bootstrap providers` names those that suit"
}

variable "ports" {
  type        = set(number)
  default     = [22]
  description = "What Lightsail's own firewall lets through: 80 and 443 as well, where the profile has a domain"
}

variable "user_data" {
  type        = string
  default     = "user-data"
  description = "The file that `julia-bootstrap render` has written"
}

provider "aws" {
  # The zone without its letter.
  region = substr(var.zone, 0, length(var.zone) - 1)
}

resource "aws_lightsail_instance" "host" {
  name              = var.name
  availability_zone = var.zone
  blueprint_id      = "debian_13"
  bundle_id         = var.plan
  user_data         = file(var.user_data)

  lifecycle {
    # Other user-data would mean another machine, and the end of this one's data. For a new one: `tofu apply -replace=…`.
    ignore_changes = [user_data]
  }
}

resource "aws_lightsail_instance_public_ports" "host" {
  instance_name = aws_lightsail_instance.host.name

  dynamic "port_info" {
    for_each = var.ports
    content {
      protocol   = "tcp"
      from_port  = port_info.value
      to_port    = port_info.value
      cidrs      = ["0.0.0.0/0"]
      ipv6_cidrs = ["::/0"]
    }
  }
}

output "address" {
  value = aws_lightsail_instance.host.public_ip_address
}
