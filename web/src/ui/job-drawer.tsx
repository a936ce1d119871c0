// The details of one job: what it is, its tasks, what they print, and its end.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, unwrap, type Job, type Task } from "../api/client";
import { cancelJob, keys, useTasks } from "../api/queries";
import { ago, clock, money, percent, quantity } from "../lib/format";
import { ended, isService, replicaWords } from "../lib/jobs";
import { Drawer } from "./dialogs";
import { useNow } from "./hooks";
import { Logs } from "./logs";
import { ErrorNote, Loaded, Progress, Rehearsed, Scroll, State } from "./parts";

export function JobDrawer({ job: id, onClose }: { job: string; onClose: () => void }) {
  const job = useQuery({
    queryKey: [...keys.jobs, id],
    queryFn: ({ signal }) => unwrap(client.GET("/v1/jobs/{job}", { params: { path: { job: id } }, signal })),
  });
  return (
    <Drawer title={job.data ? job.data.name : "Job"} mark={job.data && <State state={job.data.state} />} onClose={onClose}>
      <Loaded query={job} what="The job cannot be read">
        {(data) => (
          <>
            <Facts job={data} />
            <Tasks job={data} />
            <Logs job={data} />
          </>
        )}
      </Loaded>
    </Drawer>
  );
}

function Facts({ job }: { job: Job }) {
  const now = useNow();
  const labels = Object.entries(job.labels ?? {});
  return (
    <div className="drawer-part">
      <dl className="facts">
        <dt>Project</dt>
        <dd>{job.project}</dd>
        <dt>Cost so far</dt>
        <dd>
          {money(job.billed_cost_usd)} <Rehearsed on={job.rehearsal} />
        </dd>
        <dt>Submitted</dt>
        <dd title={job.submitted_at}>{ago(job.submitted_at, now)}</dd>
        {job.ended_at && (
          <>
            <dt>Ended</dt>
            <dd title={job.ended_at}>{ago(job.ended_at, now)}</dd>
          </>
        )}
        <dt>Replicas</dt>
        <dd>{replicaWords(job)}</dd>
        {!isService(job) && (
          <>
            <dt>Progress</dt>
            <dd>
              <Progress share={job.progress} label="Progress of the job" />
            </dd>
          </>
        )}
        {labels.length > 0 && (
          <>
            <dt>Labels</dt>
            <dd>{labels.map(([k, v]) => `${k}=${v}`).join(", ")}</dd>
          </>
        )}
        {job.reason && (
          <>
            <dt>Why</dt>
            <dd>{job.reason}</dd>
          </>
        )}
      </dl>
      {!ended(job.state) && <Cancel job={job} />}
    </div>
  );
}

function Cancel({ job }: { job: Job }) {
  const queries = useQueryClient();
  const [asked, setAsked] = useState(false);
  const cancel = useMutation({
    mutationFn: () => cancelJob(job.id),
    onSettled: () => {
      setAsked(false);
      void queries.invalidateQueries({ queryKey: keys.jobs });
    },
  });
  return (
    <div className="cancel">
      {cancel.error && <ErrorNote error={cancel.error} what="The job was not cancelled" />}
      {asked ? (
        <>
          <p>End {job.name} for good? Running replicas are stopped.</p>
          <button type="button" className="button button-bad" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
            {cancel.isPending ? "Cancelling …" : "Cancel the job"}
          </button>
          <button type="button" className="button button-quiet" autoFocus onClick={() => setAsked(false)}>
            Keep it
          </button>
        </>
      ) : (
        <button type="button" className="button button-quiet" onClick={() => setAsked(true)}>
          Cancel job …
        </button>
      )}
    </div>
  );
}

/** Newest attempt first within a replica. */
function inOrder(tasks: Task[]): Task[] {
  return [...tasks].sort((a, b) => a.group.localeCompare(b.group) || a.replica - b.replica || b.attempt - a.attempt);
}

const tasksAtFirst = 12;

function Tasks({ job }: { job: Job }) {
  const tasks = useTasks(job.id);
  const [all, setAll] = useState(false);
  return (
    <section className="drawer-part" aria-label="Tasks">
      <h3>Tasks</h3>
      <Loaded query={tasks} what="The tasks cannot be read">
        {(list) => {
          const rows = inOrder(list);
          const shown = all ? rows : rows.slice(0, tasksAtFirst);
          if (rows.length === 0) return <p className="quiet">No replica has been queued yet.</p>;
          return (
            <>
              <Scroll label="Tasks as a table">
                <table className="data">
                  <caption className="visually-hidden">Tasks of the job, all attempts</caption>
                  <thead>
                    <tr>
                      <th scope="col">Replica</th>
                      <th scope="col">State</th>
                      <th scope="col" className="right">
                        Done
                      </th>
                      <th scope="col">Runs as</th>
                      <th scope="col" className="right">
                        Started
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {shown.map((t) => (
                      <TaskRow key={t.id} task={t} service={isService(job)} />
                    ))}
                  </tbody>
                </table>
              </Scroll>
              {rows.length > tasksAtFirst && (
                <button type="button" className="link-button" onClick={() => setAll(!all)}>
                  {all ? "Show fewer" : `Show all ${rows.length} tasks`}
                </button>
              )}
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

function TaskRow({ task, service }: { task: Task; service: boolean }) {
  const devices = (task.milli_devices ?? 0) / 1000;
  const exit = task.exit_code !== undefined && task.exit_code !== null && task.exit_code !== 0 ? `exit code ${task.exit_code}` : "";
  const why = [task.reason, exit].filter(Boolean).join(", ");
  return (
    <tr>
      <th scope="row" className="nowrap">
        {task.group} {task.replica}
        {task.attempt > 1 && <span className="quiet"> · attempt {task.attempt}</span>}
      </th>
      <td>
        <State state={task.state} />
        {why && <span className="cell-more reason">{why}</span>}
      </td>
      <td className="right">{service ? "–" : percent(task.state === "succeeded" ? 1 : (task.progress ?? 0))}</td>
      <td className="nowrap">
        {task.variant || "–"}
        {devices > 0 && <span className="quiet"> · {quantity(devices)} device{devices === 1 ? "" : "s"}</span>}
      </td>
      <td className="right nowrap">{clock(task.started_at)}</td>
    </tr>
  );
}
