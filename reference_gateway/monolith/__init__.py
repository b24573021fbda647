"""Version `sync`: sockets and database transactions in one process, on python-socketio."""
