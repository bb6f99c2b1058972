/**
 * Plain text tables.
 *
 * @module
 */

/**
 * Lines of a table whose columns are as wide as their widest cell, two spaces apart. When that is
 * wider than `width` columns, the last column is wrapped at spaces, down to 20 columns.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const last = header.length - 1;
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length))
  );
  const indent = widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0);
  const room = Math.max(20, width - indent);
  return [header, ...rows].flatMap((row) => {
    const start = row.slice(0, last).map((cell, column) => cell.padEnd(widths[column] + 2)).join(
      "",
    );
    return wrap(row[last], room).map((part, line) =>
      ((line === 0 ? start : " ".repeat(indent)) + part).trimEnd()
    );
  });
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
