// Package failpoint marks the points between two steps of a flow at which a process
// may die, so that a test can kill it exactly there.
//
// A point is named for its flow and the step that comes next: "create/add" lies
// between the commit and the add of a Create, "create/end" after its last step.
// docs/crashes.md lists all of them, and what the next worker does.
//
// Only a build with -tags failpoint knows the points; there the environment variable
// Env names one, and the process kills itself with SIGKILL when it gets there. In
// every other build Hit is empty and leaves no trace.
package failpoint

// Env is the variable that names the point at which the process is to die, and
// after a colon which visit to it, the first if there is none: "feed/add:2".
const Env = "TRIGGERHOOK_FAILPOINT"
