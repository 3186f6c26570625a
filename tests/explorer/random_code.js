// For values of the bench's controls: the code that the page shows in one form, and what the page computes; null where it refuses.
([form, states]) => {
  const data = (n) => Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 251) - 60);
  return states.map((values) => {
    const name = values.operator, args = downup.argumentsOf(values), run = (...call) => downup.run(downup.kernels, ...call);
    const channels = name === "pixel_shuffle" ? 2 * args.factor ** 2 : 3;
    const x = { channels, rows: 12, columns: 24, data: data(channels * 12 * 24) };
    try {
      const pooled = name === "max_unpool2d" && run("max_pool2d", x, args);
      const back = pooled && { ...args, indices: pooled.positions, output_size: [x.rows, x.columns] };
      const out = pooled ? run(name, pooled.out, back).out : run(name, x, args).out;
      const shapes = { shape: [1, channels, 12, 24], outShape: [1, out.channels, out.rows, out.columns] };
      return { code: downup.codeOf(form, name, args, x), x: [...x.data], out: [...out.data], ...shapes };
    } catch (error) {
      if (!(error instanceof downup.Refusal)) throw error;
      return null;
    }
  });
};
