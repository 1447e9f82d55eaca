package dashboard

import (
	"net/http"
	"time"

	"github.com/triggerhook/triggerhook"
)

// pauseView is the page that pauses and resumes.
type pauseView struct {
	Status triggerhook.PauseStatus
	Notice string
	Error  string
	Until  string // what the user has entered
}

// pausePage shows whether the namespace is paused.
func (d *dashboard) pausePage(w http.ResponseWriter, r *http.Request) error {
	return d.askPause(w, r, http.StatusOK, pauseView{Notice: notice(values{r.URL.Query()})})
}

func (d *dashboard) askPause(w http.ResponseWriter, r *http.Request, status int, v pauseView) error {
	stats, err := d.s.Stats(r.Context())
	if err != nil {
		return err
	}
	v.Status = stats.Namespace.Pause
	return d.show(w, r, status, "pause", page{Title: "Pause", Current: "pause", Body: v})
}

// pause pauses the namespace.
func (d *dashboard) pause(w http.ResponseWriter, r *http.Request) error {
	form := values{r.PostForm}
	until, err := parseWhen("Until", form.get("until"), time.Now())
	o := triggerhook.PauseOptions{Until: until, Producers: form.Get("producers") != ""}
	if err == nil {
		err = d.s.Pause(r.Context(), o)
		d.o.Logger.Info("dashboard: an operation", "operation", "pause", "until", until, "producers", o.Producers, "error", err, "remote", r.RemoteAddr)
	}
	if statusOf(err) == http.StatusBadRequest {
		return d.askPause(w, r, http.StatusBadRequest, pauseView{Error: err.Error(), Until: form.get("until")})
	}
	if err != nil {
		return err
	}
	return d.settled(w, r, "paused")
}

// resume ends the pause.
func (d *dashboard) resume(w http.ResponseWriter, r *http.Request) error {
	err := d.s.Resume(r.Context())
	d.o.Logger.Info("dashboard: an operation", "operation", "resume", "error", err, "remote", r.RemoteAddr)
	if err != nil {
		return err
	}
	return d.settled(w, r, "resumed")
}

// settled leads back to the page, once the figures, which Stats keeps for a second, can tell the new state.
func (d *dashboard) settled(w http.ResponseWriter, r *http.Request, done string) error {
	timer := time.NewTimer(sampleEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil
	}
	return redirect(w, "pause?done="+done)
}
