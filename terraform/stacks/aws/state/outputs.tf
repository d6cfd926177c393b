output "bucket" {
  description = "Name of the bucket, once all its settings are made."
  value       = module.states.name
}
