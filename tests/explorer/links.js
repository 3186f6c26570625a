// The weights of all outputs' inputs, and of all inputs' outputs: [output, input, weight] of each.
([name, args, data]) => {
  const x = { channels: 1, rows: 6, columns: 6, data: Float32Array.from(data) };
  const { out, stages } = downup.run(downup.kernels, name, x, args);
  const places = (channels, rows, columns, use) => {
    for (let c = 0; c < channels; c++) for (let y = 0; y < rows; y++) for (let i = 0; i < columns; i++) use(c, y, i);
  };
  const outPlace = (channel, row, column) => (channel * out.rows + row) * out.columns + column;
  const forth = [], back = [];
  places(out.channels, out.rows, out.columns, (c, y, i) => {
    for (const link of downup.sourcesOf(stages, c, y, i)) forth.push([outPlace(c, y, i), link.row * 6 + link.column, link.weight]);
  });
  places(1, 6, 6, (c, y, i) => {
    for (const link of downup.targetsOf(stages, c, y, i)) back.push([outPlace(link.channel, link.row, link.column), y * 6 + i, link.weight]);
  });
  return [forth, back];
};
