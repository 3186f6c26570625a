// The code that the page shows in one form, and what the page computes, for some calls of each operator.
(form) => {
  const data = (n) => Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 251) - 60);
  const smooth = Float32Array.from([1, 2, 1, 2, 4, 2, 1, 2, 1], (v) => v / 16);
  const pools = [
    { kernel_size: 2, stride: 2, padding: 0, dilation: 1 },
    { kernel_size: 3, stride: 2, padding: 1, dilation: 1 },
    { kernel_size: 3, stride: 2, padding: "same", dilation: 1 },
    { kernel_size: 2, stride: 1, padding: "same_lower", dilation: 1 },
  ];
  const filters = [
    { stride: 1, padding: 0, dilation: 1 },
    { stride: 2, padding: "same", dilation: 1 },
    { stride: 2, padding: 1, dilation: 2 },
  ].map((args) => ({ kernel_size: 3, weight: smooth, ...args }));
  const orders = [{ factor: 2, order: "CRD" }, { factor: 2, order: "DCR" }];
  const averages = [...pools, { ...pools[1], count_include_pad: false }];
  const calls = {
    max_pool2d: [...pools.map((args) => ({ ...args, ceil_mode: false })), { ...pools[1], ceil_mode: true }],
    avg_pool2d: averages.map((args) => ({ count_include_pad: true, ...args, ceil_mode: false })),
    lp_pool2d: pools.slice(0, 2).map((args) => ({ ...args, norm_type: 2, ceil_mode: false })),
    max_unpool2d: pools.slice(0, 3),
    adaptive_max_pool2d: [{ output_size: [3, 4] }],
    adaptive_avg_pool2d: [{ output_size: [3, 4] }],
    global_max_pool2d: [{}],
    global_avg_pool2d: [{}],
    global_lp_pool2d: [{ norm_type: 2 }],
    max_pool2d_with_offsets: pools.slice(0, 1),
    blur_pool2d: [{ taps: 3, stride: 2, edge: "reflect" }, { taps: 4, stride: 3, edge: "zero" }],
    max_blur_pool2d: [{ kernel_size: 2, taps: 3, stride: 2, edge: "reflect" }],
    interpolate: [
      ...["nearest", "bilinear", "bicubic", "area", "lanczos"].map((mode) => ({ mode, scale_factor: 2 })),
      { mode: "bilinear", scale_factor: 1.5, align_corners: true },
      { mode: "bicubic", scale_factor: 0.5, antialias: true },
    ],
    pixel_shuffle: orders,
    pixel_unshuffle: orders,
    conv2d: filters,
    conv_transpose2d: filters.map((args) => ({ ...args, output_padding: args.padding === 1 ? 1 : 0 })),
    resize_conv2d: [{ kernel_size: 3, weight: smooth, scale_factor: 2, mode: "nearest", padding: "same", dilation: 1 }],
  };
  const answer = (name, x, args) => {
    if (name !== "max_unpool2d") return downup.run(downup.kernels, name, x, args).out;
    const pooled = downup.run(downup.kernels, "max_pool2d", x, args);
    const back = { ...args, indices: pooled.positions, output_size: [x.rows, x.columns] };
    return downup.run(downup.kernels, name, pooled.out, back).out;
  };
  return Object.entries(calls).flatMap(([name, all]) =>
    all.map((args) => {
      const channels = name === "pixel_shuffle" ? 8 : 2;
      const x = { channels, rows: 8, columns: 10, data: data(channels * 80) };
      const out = answer(name, x, args);
      const shapes = { shape: [1, channels, 8, 10], outShape: [1, out.channels, out.rows, out.columns] };
      return { name, code: downup.codeOf(form, name, args, x), x: [...x.data], out: [...out.data], ...shapes };
    }),
  );
};
