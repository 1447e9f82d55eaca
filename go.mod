module github.com/triggerhook/triggerhook

go 1.25.0

require (
	github.com/go-sql-driver/mysql v1.10.1
	github.com/sethvargo/go-retry v0.5.0
)

require filippo.io/edwards25519 v1.2.0 // indirect
