"""Read ROS bags: ROS 1 (`bag1`), and ROS 2 in MCAP (`mcap`) or SQLite (`db3`).

A bag holds messages of topics, in the order in which they were received. `definitions` says where
the fields of a message are, by the definition that the bag carries; `packets` decodes the events of
messages, `side` the stamps of images, IMU samples and triggers; `read` is the recording. Only
`definitions` imports rosbags, when a bag is opened: it parses definitions, and knows those of ROS.
The bags themselves are read here, from their start to their end, because that names the byte where
something is wrong, reads what is whole of a bag that was cut off, and holds no more than a chunk
and a message.
"""
