package snippets

// skipped is a line of a shell block that the test does not run.
type skipped struct{ page, line, because string }

const (
	noDocker  = "needs Docker"
	noRelease = "asks a module proxy for a release; the test has the same from this tree"
	minutes   = "takes minutes or hours"
	shell     = "opens a shell for as long as its user likes"
)

// notRun lists these lines, by how they begin. A line that goes on by a backslash at its end is one line.
var notRun = []skipped{
	{"README.md", "go get ", noRelease},
	{"README.md", "go run ./examples/quickstart ", "make smoke, a step of CI, runs it with fewer tasks"},
	{"README.md", "make test", "is what runs this test"},
	{"README.md", "docker compose up ", noDocker},
	{"README.md", "go run ./internal/testserver/servers ", "TestItRunsTheMainJob does that with fewer tasks, on the servers of the tests"},
	{"DEVELOPERS.md", "go run ./internal/testserver/servers --topology sentinel ", shell},
	{"DEVELOPERS.md", "go run ./internal/testserver/servers --topology cluster ", shell},
	{"deploy/README.md", "podman build ", "needs podman, and a registry"},
	{"deploy/README.md", "helm install ", "needs a cluster; make deploy-test renders the chart"},
	{"docs/cli.md", "go install ", noRelease},
	{"docs/cli.md", "triggerhook import --from-pvelx ", "needs the predecessor's tables: cmd/triggerhook/testdata/script/pvelx.txtar has them"},
	{"docs/cli.md", "triggerhook doctor", "its exit code tells of the settings of servers: cmd/triggerhook/testdata/script/doctor.txtar has some"},
	{"docs/getting-started.md", "docker ", noDocker},
	{"docs/getting-started.md", "go install ", noRelease},
	{"docs/performance.md", "go run . run ", minutes},
	{"docs/performance.md", "go run . report ", "reports what the line before has measured"},
	{"docs/performance.md", "cd bench", "is for these lines"},
	{"docs/performance.md", "git worktree add ", minutes},
	{"docs/performance.md", "go build -o bench ", minutes},
	{"docs/reliability.md", "go run ./internal/torture ", minutes + "; a step of CI runs one round"},
	{"docs/serve.md", "go install ", noRelease},
	{"docs/webhooks.md", "go run ./internal/testserver/servers ", minutes},
}
