import { useState } from "react";
import type { Pointed } from "../lib/pointed";
import type { Job } from "../api/client";
import { useJobs, type JobList } from "../api/queries";
import { ago, count, money } from "../lib/format";
import { chosen, ended, isService, replicasOf, replicaWords, type JobFilter } from "../lib/jobs";
import type { Hues } from "../lib/machines";
import { useNow } from "./hooks";
import { Choices, Empty, Loaded, Panel, Progress, Rehearsed, Scroll, State } from "./parts";

interface JobsProps {
  hues: Hues;
  pointed: Pointed;
  onOpen: (job: string) => void;
}

const shownAtFirst = 25;

export function JobsPanel({ hues, pointed, onOpen }: JobsProps) {
  const jobs = useJobs();
  const [filter, setFilter] = useState<JobFilter>("all");
  const [search, setSearch] = useState("");
  const all = jobs.data?.jobs ?? [];
  const live = all.filter((j) => !ended(j.state)).length;
  return (
    <Panel
      title="Jobs"
      className="jobs"
      note={all.length > 0 && <span className="panel-note">{`${live} live, ${all.length - live} ended${jobs.data?.more ? ", older ones not shown" : ""}`}</span>}
      actions={
        all.length > 0 && (
          <>
            {all.length > 10 && (
              <input
                type="search"
                className="search"
                aria-label="Find a job by project or name"
                placeholder="Find a job"
                value={search}
                onChange={(e) => setSearch(e.target.value)}
              />
            )}
            <Choices
              label="Which jobs are shown"
              value={filter}
              onChoose={setFilter}
              choices={[
                { value: "all", label: "All" },
                { value: "live", label: "Live" },
                { value: "ended", label: "Ended" },
              ]}
            />
          </>
        )
      }
    >
      <Loaded query={jobs} what="The jobs cannot be read">
        {(list) => <JobsBody list={list} filter={filter} search={search} hues={hues} pointed={pointed} onOpen={onOpen} />}
      </Loaded>
    </Panel>
  );
}

function JobsBody(props: JobsProps & { list: JobList; filter: JobFilter; search: string }) {
  const [most, setMost] = useState(shownAtFirst);
  if (props.list.jobs.length === 0) {
    return (
      <Empty title="There are no jobs.">
        Submit some: <code className="command">purser submit -f examples/first-run.yaml</code>
      </Empty>
    );
  }
  const jobs = chosen(props.list.jobs, props.filter, props.search);
  if (jobs.length === 0) return <Empty title={props.search.trim() ? "No job has such a name." : `No job is ${props.filter}.`} />;
  const hidden = jobs.length - most;
  return (
    <>
      <JobsTable {...props} jobs={jobs.slice(0, most)} />
      {hidden > 0 && (
        <p className="more">
          <button type="button" className="link-button" onClick={() => setMost(most + 100)}>
            Show {Math.min(100, hidden)} more
          </button>
          <span className="quiet">{count(hidden, "job")} not shown</span>
        </p>
      )}
    </>
  );
}

function JobsTable({ jobs, hues, pointed, onOpen }: JobsProps & { jobs: Job[] }) {
  const now = useNow();
  return (
    <Scroll label="Jobs as a table">
      <table className="data jobs-table">
        <caption className="visually-hidden">Jobs, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col" className="wide">
              Progress
            </th>
            <th scope="col" className="right wide">
              Running
            </th>
            <th scope="col" className="right">
              Cost <Rehearsed on={jobs.some((j) => j.rehearsal)} />
            </th>
            <th scope="col" className="right wide">
              Submitted
            </th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <JobRow key={job.id} job={job} hue={hues.known(job.id)} now={now} pointed={pointed} onOpen={onOpen} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

interface RowProps {
  job: Job;
  hue: number | undefined;
  now: number;
  pointed: Pointed;
  onOpen: (job: string) => void;
}

function JobRow({ job, hue, now, pointed, onOpen }: RowProps) {
  const replicas = replicasOf(job);
  const placed = !ended(job.state) && hue !== undefined;
  const why = placed ? "" : job.reason;
  return (
    <tr
      className={pointed.job === job.id ? "lit" : undefined}
      onPointerEnter={() => placed && pointed.point(job.id)}
      onPointerLeave={() => placed && pointed.point(null)}
    >
      <th scope="row">
        <div className="job-name">
          <span className={placed ? `swatch hue-${hue}` : "swatch swatch-none"} aria-hidden="true" />
          <span className="job-words">
            <button type="button" className="link-button" onClick={() => onOpen(job.id)} title={`${job.project}/${job.name}`}>
              {job.name}
            </button>
            <span className="cell-more">
              {job.project}
              <span className="narrow"> · {ago(job.submitted_at, now)}</span>
            </span>
            {why && <span className="cell-more narrow">{why}</span>}
          </span>
        </div>
      </th>
      <td>
        <State state={job.state} />
        {why && (
          <span className="cell-more reason wide" title={why}>
            {why}
          </span>
        )}
      </td>
      <td className="wide">{isService(job) ? <span className="quiet">service</span> : <Progress share={job.progress} label={`Progress of ${job.name}`} />}</td>
      <td className="right wide nowrap" title={replicaWords(job)}>
        {replicas.running} / {replicas.total}
      </td>
      <td className="right">{money(job.billed_cost_usd)}</td>
      <td className="right wide nowrap" title={job.submitted_at}>
        {ago(job.submitted_at, now)}
      </td>
    </tr>
  );
}
