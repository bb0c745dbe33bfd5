"""The lake of docker-compose.yml: real FTS3, ActiveMQ and X.509, each service a container."""
