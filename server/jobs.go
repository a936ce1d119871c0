package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
	"purser/jobfile"
)

// JobQuery selects jobs. Zero fields select all.
type JobQuery struct {
	Project string
	State   purser.JobState
	Live    bool // not ended
	Limit   int
	After   string // cursor
}

// JobRef names a job by id, or by its name within a project.
type JobRef struct{ Ref, Project string }

// Jobs keeps the users' jobs.
type Jobs interface {
	// Submit stores jobs; one that stands already is left as it is.
	Submit(ctx context.Context, actor string, jobs []purser.Job) (api.Submitted, error)
	List(ctx context.Context, q JobQuery) (api.Jobs, error)
	Get(ctx context.Context, ref JobRef) (api.Job, error)
	Tasks(ctx context.Context, ref JobRef) ([]purser.Task, error)
	// Cancel ends a job; an ended one stays as it is.
	Cancel(ctx context.Context, actor string, ref JobRef) (api.Job, error)
}

// LogQuery selects lines of a job's log.
type LogQuery struct {
	Job   JobRef
	Task  purser.TaskID
	After string
	Limit int
}

// Logs keeps what tasks print.
type Logs interface {
	Logs(ctx context.Context, q LogQuery) (api.Logs, error)
}

type jobPath struct {
	Job     string `path:"job" maxLength:"130" doc:"The job's id or name."`
	Project string `query:"project" maxLength:"63" doc:"The project of a job given by name."`
}

func (p jobPath) ref() JobRef { return JobRef{Ref: p.Job, Project: p.Project} }

type (
	jobOut  struct{ Body api.Job }
	jobsOut struct{ Body api.Jobs }
)

func (s *Server) registerJobs() {
	tags := []string{"jobs"}
	type fileIn struct{ Body api.JobFile }
	type submitted struct{ Body api.Submitted }
	register(s, api.RoleOperator, huma.Operation{
		OperationID: "submit-jobs", Method: http.MethodPost, Path: "/v1/jobs", Tags: tags, BodyReadTimeout: uploadTime,
		Summary: "Submit the jobs of a job file", Description: "Submitting the same again changes nothing. Either all jobs of the file are taken or none.",
	}, func(ctx context.Context, in *fileIn) (*submitted, error) {
		jobs, err := parseJobs(in.Body)
		if err != nil {
			return nil, err
		}
		out, err := s.parts.Jobs.Submit(ctx, caller(ctx).Name, jobs)
		return &submitted{out}, err
	})
	type listIn struct {
		Project string `query:"project" maxLength:"63"`
		State   string `query:"state" enum:"queued,running,succeeded,failed,cancelled"`
		Live    bool   `query:"live" doc:"Only jobs that have not ended."`
		Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		After   string `query:"after" maxLength:"100" doc:"The next of the page before."`
	}
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/v1/jobs", Summary: "List jobs, newest first", Tags: tags,
	}, func(ctx context.Context, in *listIn) (*jobsOut, error) {
		out, err := s.parts.Jobs.List(ctx, JobQuery{Project: in.Project, State: purser.JobState(in.State), Live: in.Live, Limit: in.Limit, After: in.After})
		if out.Jobs == nil {
			out.Jobs = []api.Job{}
		}
		return &jobsOut{out}, err
	})
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "get-job", Method: http.MethodGet, Path: "/v1/jobs/{job}", Summary: "Read a job", Tags: tags,
	}, func(ctx context.Context, in *jobPath) (*jobOut, error) {
		out, err := s.parts.Jobs.Get(ctx, in.ref())
		return &jobOut{out}, err
	})
	register(s, api.RoleOperator, huma.Operation{
		OperationID: "cancel-job", Method: http.MethodPost, Path: "/v1/jobs/{job}/cancel", Summary: "End a job", Tags: tags,
		Description: "Queued tasks end at once, running ones when their agent has stopped them.",
	}, func(ctx context.Context, in *jobPath) (*jobOut, error) {
		out, err := s.parts.Jobs.Cancel(ctx, caller(ctx).Name, in.ref())
		return &jobOut{out}, err
	})
	type tasksOut struct{ Body api.Tasks }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/jobs/{job}/tasks", Summary: "List every task of a job, all attempts", Tags: tags,
	}, func(ctx context.Context, in *jobPath) (*tasksOut, error) {
		tasks, err := s.parts.Jobs.Tasks(ctx, in.ref())
		return &tasksOut{api.Tasks{Tasks: list(tasks)}}, err
	})
	s.registerLogs(tags)
}

func (s *Server) registerLogs(tags []string) {
	type logsIn struct {
		Job     string `path:"job" maxLength:"130" doc:"The job's id or name."`
		Project string `query:"project" maxLength:"63" doc:"The project of a job given by name."`
		Task    string `query:"task" maxLength:"63" doc:"Only this task."`
		After   string `query:"after" maxLength:"100" doc:"The next of the page before."`
		Limit   int    `query:"limit" minimum:"1" maximum:"5000" default:"1000"`
	}
	type logsOut struct{ Body api.Logs }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "read-logs", Method: http.MethodGet, Path: "/v1/jobs/{job}/logs", Summary: "Read what a job's tasks printed, in order of time", Tags: tags,
	}, func(ctx context.Context, in *logsIn) (*logsOut, error) {
		out, err := s.parts.Logs.Logs(ctx, LogQuery{Job: JobRef{Ref: in.Job, Project: in.Project}, Task: purser.TaskID(in.Task), After: in.After, Limit: in.Limit})
		out.Lines = list(out.Lines)
		return &logsOut{out}, err
	})
}

// parseJobs reads a job file whose local files came with it.
func parseJobs(f api.JobFile) ([]purser.Job, error) {
	name := f.Name
	if name == "" {
		name = "jobs.yaml"
	}
	return jobfile.Parse(name, []byte(f.Text), jobfile.Options{
		Project: f.Project, Now: time.Now().UTC(),
		ReadFile: func(path string) ([]byte, error) {
			b, ok := f.Files[path]
			if !ok {
				return nil, purser.Errorf(purser.KindInvalid, "server", "the file %q did not come with the job file", clip(path))
			}
			return b, nil
		},
	})
}

// list makes an empty list of a missing one: lists are never null on the wire.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}
