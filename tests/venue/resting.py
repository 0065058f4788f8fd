"""What the tests of rest share."""

TIME = "/fapi/v1/time"
