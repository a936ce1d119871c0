// The machines of one unit, one below the other, all to the same scale.

import { useState, type PointerEvent } from "react";
import { count, moneyPerHour, optionName, percent, quantity } from "../lib/format";
import { cellSize, segmentLabel, type Fleet, type Hues, type Machine, type Segment } from "../lib/machines";
import { useWidth } from "./hooks";
import { MachineBar, unnamed } from "./machine-bar";
import { State } from "./parts";

const shownAtFirst = 12;

interface FleetProps {
  fleet: Fleet;
  hues: Hues;
  lit: string | null;
  onOpen: (job: string) => void;
  onPoint: (machine: Machine, segment: Segment | null, event: PointerEvent | null) => void;
}

export function place(machine: Machine): string {
  const { provider, region, zone } = machine.lease.offer;
  return `${provider} · ${zone || region}`;
}

function devices(machine: Machine): string {
  const { accelerator, devices: n, vcpus } = machine.lease.offer;
  return accelerator ? `${quantity(n)} × ${accelerator}` : `${quantity(vcpus)} vCPU`;
}

function cellWords(fleet: Fleet, width: number): string {
  const cell = cellSize(fleet.unit, fleet.scale, width);
  const noun = fleet.unit === "device" ? "device" : "vCPU";
  return `To scale: one mark is ${count(cell, noun)}`;
}

/** Names that did not fit into the bar. The bar's own description has them all. */
function Names({ segments, hues }: { segments: Segment[]; hues: Hues }) {
  if (segments.length === 0) return null;
  return (
    <p className="machine-names" aria-hidden="true">
      {segments.map((s) => (
        <span key={s.key}>
          <span className={`swatch hue-${hues.of(s.job)}`} />
          {segmentLabel(s)}
        </span>
      ))}
    </p>
  );
}

export function FleetDrawing({ fleet, hues, lit, onOpen, onPoint }: FleetProps) {
  const [all, setAll] = useState(false);
  const [ref, width] = useWidth<HTMLDivElement>(600);
  const shown = all ? fleet.machines : fleet.machines.slice(0, shownAtFirst);
  const hidden = fleet.machines.length - shown.length;
  const noun = fleet.unit === "device" ? "device" : "vCPU";
  return (
    <div className="fleet">
      <div className="fleet-head" aria-hidden="true">
        <span>{fleet.unit === "device" ? "Machine" : "Machine without devices"}</span>
        <span ref={ref}>{cellWords(fleet, width)}</span>
        <span className="right">Price</span>
      </div>
      <ul className="fleet-list" aria-label={fleet.unit === "device" ? "Machines" : "Machines without devices"}>
        {shown.map((machine) => (
          <li className="machine" key={machine.lease.id}>
            <div className="machine-name">
              <p className="machine-type" title={`${machine.lease.offer.instance_type}, lease ${machine.lease.id}`}>
                {machine.lease.offer.instance_type}
              </p>
              <p className="machine-more">
                <State state={machine.lease.state} />
                <span>{devices(machine)}</span>
                <span title={machine.lease.offer.region}>{place(machine)}</span>
              </p>
            </div>
            <div className="machine-bar">
              <MachineBar
                machine={machine}
                scale={fleet.scale}
                width={width}
                hues={hues}
                lit={lit}
                onOpen={onOpen}
                onPoint={(segment, event) => onPoint(machine, segment, event)}
              />
              <Names segments={unnamed(machine, fleet.scale, width)} hues={hues} />
            </div>
            <div className="machine-price">
              <span className="figure-cell">{moneyPerHour(machine.lease.offer.usd_per_hour)}</span>
              <span className="machine-option">{optionName(machine.lease.offer.purchase_option)}</span>
            </div>
          </li>
        ))}
      </ul>
      <p className="fleet-foot">
        <span>
          {quantity(fleet.used)} of {count(fleet.size, noun)} in use
          {fleet.size > 0 && ` (${percent(fleet.used / fleet.size)})`}
        </span>
        <span className="key">
          <span className="key-idle" aria-hidden="true" /> idle
        </span>
        <span className="key">
          <span className="key-waiting" aria-hidden="true" /> placed, not yet running
        </span>
        {(hidden > 0 || all) && fleet.machines.length > shownAtFirst && (
          <button type="button" className="link-button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${fleet.machines.length} machines`}
          </button>
        )}
      </p>
    </div>
  );
}
