-- What all processes of a namespace must agree on: the number of partitions.
CREATE TABLE IF NOT EXISTS `{ns}_meta` (
  name  VARBINARY(64) NOT NULL,
  value VARBINARY(255) NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB
