"""What can stand in front of the gateways: NGINX, by a configuration made from the stack's own."""
