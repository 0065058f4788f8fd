"""Running the whole system on one machine: home directory, embedded services, supervision."""
