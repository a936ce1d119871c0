// How wide a text is drawn, so that labels end before their block does.

let pen: CanvasRenderingContext2D | null = null;
const widths = new Map<string, number>();

function width(text: string, font: string, letterPx: number): number {
  if (typeof document === "undefined") return text.length * letterPx;
  const key = `${font}|${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  pen ??= document.createElement("canvas").getContext("2d");
  if (pen === null) return text.length * letterPx;
  pen.font = font;
  const measured = pen.measureText(text).width;
  if (widths.size > 5_000) widths.clear();
  widths.set(key, measured);
  return measured;
}

const family = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif';

/** In px, as .block-name is drawn. */
export function nameWidth(text: string): number {
  return width(text, `600 12px ${family}`, 7.4);
}

/** In px, as .block-size is drawn. */
export function sizeWidth(text: string): number {
  return width(text, `400 10.5px ${family}`, 6.2);
}
