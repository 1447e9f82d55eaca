package durable

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// Historian is a Store that can keep what became of tasks: how and when they ended, but neither payloads nor headers. MySQL and the
// embedded store are Historians.
//
// OneEnding: what End, EndByID and EndDead keep of a row is written in the transaction that deletes it. So a version that ended through
// them, with a How that is not 0, is kept exactly once; and nothing is kept of a row that exists. Rows that the methods of Store
// delete leave no history.
type Historian interface {
	Store

	// End is Delete of the versions of ends, and keeps what each Ending says of the rows that it deletes. ErrInvalid: Ending.Check
	// refuses one; nothing was deleted.
	End(ctx context.Context, ends []task.Ending) ([]bool, error)

	// EndByID is DeleteByID of the ids of ends, whose versions are not looked at, and keeps likewise. It reads all rows.
	EndByID(ctx context.Context, ends []task.Ending) ([]task.Row, error)

	// EndDead is Bury, and keeps of each row that it moves what the Ending at the place of its Burial says: there is one for each.
	EndDead(ctx context.Context, burials []task.Burial, ends []task.Ending) ([]bool, error)

	// History returns what is kept of the tasks that were called id, the newest first, at most limit of them.
	History(ctx context.Context, id string, limit int) ([]task.Ending, error)

	// PurgeHistory deletes the slots of the history that ended by beforeMS, in commits of bounded size, at most most rows. It returns how
	// many it deleted, also with an error.
	PurgeHistory(ctx context.Context, beforeMS int64, most int) (n int, err error)
}

// TxHistorian is a Historian that can keep history in a transaction of the caller's own.
type TxHistorian interface {
	Historian

	// KeepTx keeps what ends say of the rows that exist in these versions, and locks these rows until tx ends. The caller deletes
	// them in tx after it (TxConfirmer, TxStore). Errors are those of TxStore.
	KeepTx(ctx context.Context, tx task.Tx, ends []task.Ending) error
}
