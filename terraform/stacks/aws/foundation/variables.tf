variable "account" {
  description = "Number of the account that all this belongs to; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "An account is a number of 12 digits."
  }
}

variable "backup_bucket" {
  description = "Name of the bucket for backups, unique among all buckets of all accounts."
  type        = string
}

variable "location" {
  description = "Region of AWS."
  type        = string
}

variable "region" {
  description = "Name of the localization region."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*$", var.region))
    error_message = "A region has small letters, digits and hyphens."
  }
}
