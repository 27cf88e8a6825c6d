"""Reading Keras models safely, and inferring their input range and score kind."""
