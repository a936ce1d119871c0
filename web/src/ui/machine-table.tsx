import { moneyPerHour, money, optionName, quantity } from "../lib/format";
import { segmentLabel, type Fleet, type Hues, type Machine } from "../lib/machines";
import { unitName } from "./machine-bar";
import { Rehearsed, Scroll, State } from "./parts";

interface TableProps {
  fleets: Fleet[];
  hues: Hues;
  onOpen: (job: string) => void;
}

/** All that the drawing shows, as a table. */
export function MachineTable({ fleets, hues, onOpen }: TableProps) {
  const machines = fleets.flatMap((f) => f.machines);
  const rehearsal = machines.some((m) => m.lease.rehearsal);
  return (
    <Scroll label="Machines as a table">
      <table className="data">
        <caption className="visually-hidden">Machines that are held, with the jobs on them</caption>
        <thead>
          <tr>
            <th scope="col">Machine</th>
            <th scope="col">Where</th>
            <th scope="col">Option</th>
            <th scope="col">State</th>
            <th scope="col">Jobs</th>
            <th scope="col" className="right">
              Idle
            </th>
            <th scope="col" className="right">
              Price
            </th>
            <th scope="col" className="right">
              Cost so far <Rehearsed on={rehearsal} />
            </th>
          </tr>
        </thead>
        <tbody>
          {machines.map((m) => (
            <Row key={m.lease.id} machine={m} hues={hues} onOpen={onOpen} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Row({ machine, hues, onOpen }: { machine: Machine; hues: Hues; onOpen: (job: string) => void }) {
  const { offer, state, billed_cost_usd } = machine.lease;
  const segments = [...machine.segments, ...machine.cpuOnly];
  return (
    <tr>
      <th scope="row">
        <span className="mono">{offer.instance_type}</span>
        <span className="cell-more">{offer.accelerator ? `${quantity(offer.devices)} × ${offer.accelerator}` : `${quantity(offer.vcpus)} vCPU`}</span>
      </th>
      <td className="nowrap">
        {offer.provider}
        <span className="cell-more">{offer.zone || offer.region}</span>
      </td>
      <td className="nowrap">{optionName(offer.purchase_option)}</td>
      <td>
        <State state={state} />
      </td>
      <td>
        <ul className="plain">
          {segments.map((s) => (
            <li key={s.key}>
              <span className={`swatch hue-${hues.of(s.job)}`} aria-hidden="true" />
              <button type="button" className="link-button" onClick={() => onOpen(s.job)}>
                {segmentLabel(s)}
              </button>{" "}
              <span className="quiet">{machine.cpuOnly.includes(s) ? "no device" : unitName(machine, s.size)}</span>
            </li>
          ))}
          {segments.length === 0 && <li className="quiet">none</li>}
        </ul>
      </td>
      <td className="right nowrap">{machine.idle > 0 ? unitName(machine, machine.idle) : "–"}</td>
      <td className="right">{moneyPerHour(offer.usd_per_hour)}</td>
      <td className="right">{money(billed_cost_usd)}</td>
    </tr>
  );
}
