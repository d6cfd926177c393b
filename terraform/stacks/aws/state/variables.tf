variable "account" {
  description = "Number of the account that all this belongs to; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "An account is a number of 12 digits."
  }
}

variable "bucket" {
  description = "Name of the bucket that keeps the states of all regions in this account and location."
  type        = string
}

variable "location" {
  description = "Region of AWS."
  type        = string
}
