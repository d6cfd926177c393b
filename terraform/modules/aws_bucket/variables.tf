variable "key_arn" {
  description = "Key of KMS that encrypts what is stored; null for the keys that S3 keeps itself."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of the bucket, unique among all buckets of all accounts."
  type        = string
}
