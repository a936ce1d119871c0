/** Which job the pointer is on: its blocks and its row are lit together. */
export interface Pointed {
  job: string | null;
  point: (job: string | null) => void;
}
