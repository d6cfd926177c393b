output "network_cidr" {
  description = "Addresses of the network."
  value       = aws_vpc.this.cidr_block
}

output "network_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnets" {
  description = "Id of the private subnet of each zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}
