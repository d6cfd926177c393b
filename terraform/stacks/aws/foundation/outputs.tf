output "backup_bucket" {
  description = "Name of the bucket for backups, once all its settings are made."
  value       = module.backups.name
}

output "key_alias" {
  description = "Name by which the key is asked for; it stays when the key is made again."
  value       = aws_kms_alias.region.name
}

output "key_arn" {
  description = "Key that encrypts the backups and the cluster's secrets."
  value       = aws_kms_key.region.arn
}
