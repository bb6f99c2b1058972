/**
 * Plain text tables.
 *
 * @module
 */

/** The last column gets at least so many columns if that is possible. */
const COMFORTABLE = 40;

/**
 * Lines of a table, at most `width` wide if that is possible. Columns are as wide as their widest
 * cell and two spaces apart; the last one is wrapped. When that leaves too little for the last
 * column, the cells of the first one become headings, each above the rows that share it. A width of
 * 0, which terminals have that nobody told theirs, is no bound.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const bound = width === 0 ? Infinity : width;
  const room = bound - indentOf(columnWidths([header, ...rows]));
  if (room >= COMFORTABLE || header.length < 3) {
    return formatRows([header, ...rows], bound).flat();
  }
  const all = [header, ...rows];
  const rest = formatRows(all.map((row) => row.slice(1)), bound - 2);
  return all.flatMap(([heading], place) => [
    ...(heading === all[place - 1]?.[0] ? [] : [heading]),
    ...rest[place].map((line) => `  ${line}`),
  ]);
}

/** The lines of each row. */
function formatRows(rows: readonly (readonly string[])[], width: number): string[][] {
  const widths = columnWidths(rows);
  const indent = indentOf(widths);
  return rows.map((row) => {
    const start = row.slice(0, -1).map((cell, column) => cell.padEnd(widths[column] + 2));
    return wrap(row[row.length - 1], Math.max(1, width - indent)).map((part, line) =>
      ((line === 0 ? start.join("") : " ".repeat(indent)) + part).trimEnd()
    );
  });
}

function columnWidths(rows: readonly (readonly string[])[]): number[] {
  return rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
}

/** Where the last column begins. */
function indentOf(widths: readonly number[]): number {
  return widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
}

/** Text in lines of at most `width` characters, broken at spaces; a longer word has its own line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
