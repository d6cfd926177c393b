# The network of a region's cluster: private subnets in three zones, reached from nowhere yet. EKS, and the ways in and
# out that it needs, are not part of it so far.

data "aws_availability_zones" "usual" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  _zones = slice(sort(data.aws_availability_zones.usual.names), 0, 3)
}

resource "aws_vpc" "this" {
  cidr_block           = var.network_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = {
    Name = "kontrol-${var.region}"
  }
}

# Without a rule: what is to be reached gets a group of its own.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = {
    Name = "kontrol-${var.region}-closed"
  }
}

resource "aws_subnet" "private" {
  for_each = { for index, zone in local._zones : zone => cidrsubnet(var.network_cidr, 4, index) }

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = {
    Name = "kontrol-${var.region}-private-${each.key}"
  }
}
