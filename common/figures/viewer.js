"use strict";
// Three planes of a case to leaf through. The case lies in the page as JSON (viewer.py says what it
// holds) and is unpacked when its figure first comes into view. Nothing is fetched.
(() => {
  const PIXELS_ACROSS = 1500; // of the three pictures together: sharp on paper as well
  const MARGIN_MM = 4;
  const MOST_HEIGHT = 720; // CSS pixels of the tallest picture: a spinal cord is long

  // Seen radiologically. On every picture the axis across runs from high to low, the other upwards.
  const PLANES = [
    { name: "Axial", across: 0, up: 1, through: 2, sides: ["R", "L", "A", "P"] },
    { name: "Coronal", across: 0, up: 2, through: 1, sides: ["R", "L", "S", "I"] },
    { name: "Sagittal", across: 1, up: 2, through: 0, sides: ["A", "P", "S", "I"] },
  ];

  function element(tag, properties = {}, children = []) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  async function unpacked(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function red_green_blue(colour) {
    return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  }

  function mapped(matrix, voxel) {
    return [0, 1, 2].map(
      (row) => matrix[row][3] + voxel.reduce((sum, x, n) => sum + matrix[row][n] * x, 0),
    );
  }

  function in_words(world_mm) {
    return world_mm
      .map((mm, axis) => `${Math.abs(mm).toFixed(1)} ${(mm < 0 ? "LPI" : "RAS")[axis]}`)
      .join(", ");
  }

  // The values of one slice, row by row from the top of the picture.
  function slice_of(volume, values, plane, at) {
    const { shape } = volume;
    const steps = [1, shape[0], shape[0] * shape[1]];
    const width = shape[plane.across];
    const height = shape[plane.up];
    const slice = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      let from = at * steps[plane.through] + (height - 1 - row) * steps[plane.up];
      from += (width - 1) * steps[plane.across];
      for (let column = 0; column < width; column++, from -= steps[plane.across]) {
        slice[row * width + column] = values[from];
      }
    }
    return slice;
  }

  class Picture {
    // One plane: its canvas, its slider, and the way between pixels and voxels.
    constructor(viewer, plane, pixels_per_mm) {
      const { shape, spacing_mm } = viewer.volume;
      this.viewer = viewer;
      this.plane = plane;
      this.scale = pixels_per_mm;
      this.n_across = shape[plane.across];
      this.n_up = shape[plane.up];
      this.step_across = spacing_mm[plane.across] * pixels_per_mm;
      this.step_up = spacing_mm[plane.up] * pixels_per_mm;
      this.margin = MARGIN_MM * pixels_per_mm;
      this.small = element("canvas", { width: this.n_across, height: this.n_up });
      this.canvas = element("canvas", {
        width: Math.round(this.n_across * this.step_across + 2 * this.margin),
        height: Math.round(this.n_up * this.step_up + 2 * this.margin),
        tabIndex: 0,
      });
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute(
        "aria-label",
        `${plane.name} slice of ${viewer.volume.title}. Arrow keys move the cross, ` +
          "Page Up and Page Down change the slice.",
      );
      this.slider = element("input", { type: "range", min: 0, max: shape[plane.through] - 1 });
      this.place = element("output");
      this.whole = element("div", { className: "viewer-plane" }, [
        this.canvas,
        element("label", {}, [plane.name, this.slider, this.place]),
      ]);
      this.listen();
    }

    listen() {
      const { canvas, plane, viewer } = this;
      const step = (axis, by) => viewer.move(viewer.voxel.map((x, n) => x + (n === axis ? by : 0)));
      this.slider.addEventListener("input", () =>
        step(plane.through, Number(this.slider.value) - viewer.voxel[plane.through]),
      );
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        canvas.focus({ preventScroll: true });
        canvas.setPointerCapture(event.pointerId);
        this.point(event);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (canvas.hasPointerCapture(event.pointerId)) this.point(event);
      });
      // Only a picture that was clicked takes the wheel: elsewhere it scrolls the page.
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
          event.preventDefault();
          step(plane.through, event.deltaY < 0 ? 1 : -1);
        },
        { passive: false },
      );
      const keys = {
        ArrowLeft: [plane.across, 1],
        ArrowRight: [plane.across, -1],
        ArrowUp: [plane.up, 1],
        ArrowDown: [plane.up, -1],
        PageUp: [plane.through, 1],
        PageDown: [plane.through, -1],
      };
      canvas.addEventListener("keydown", (event) => {
        if (!Object.hasOwn(keys, event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        step(...keys[event.key]);
      });
    }

    point(event) {
      const { canvas, plane, viewer } = this;
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * canvas.width - this.margin;
      const y = ((event.clientY - box.top) / box.height) * canvas.height - this.margin;
      const voxel = [...viewer.voxel];
      voxel[plane.across] = this.n_across - 1 - Math.floor(x / this.step_across);
      voxel[plane.up] = this.n_up - 1 - Math.floor(y / this.step_up);
      viewer.move(voxel);
    }

    paint() {
      const { canvas, plane, viewer } = this;
      const at = viewer.voxel[plane.through];
      const context = canvas.getContext("2d");
      context.fillStyle = "#000";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingQuality = "high";
      this.lay(context, slice_of(viewer.volume, viewer.image, plane, at), viewer.greys(), true);
      if (viewer.overlay.checked) {
        this.lay(context, slice_of(viewer.volume, viewer.labels, plane, at), viewer.colours(), false);
      }
      this.name_sides(context);
      this.cross(context);
      this.slider.value = at;
      this.place.value = `${at + 1} / ${Number(this.slider.max) + 1}`;
      this.slider.setAttribute("aria-valuetext", `slice ${this.place.value}`);
    }

    // Draws a slice over the picture; `table` turns a value into red, green, blue and opacity.
    lay(context, slice, table, smooth) {
      const image = new ImageData(this.n_across, this.n_up);
      new Uint32Array(image.data.buffer).set(Uint32Array.from(slice, (value) => table[value]));
      this.small.getContext("2d").putImageData(image, 0, 0);
      context.imageSmoothingEnabled = smooth;
      context.drawImage(
        this.small,
        this.margin,
        this.margin,
        this.n_across * this.step_across,
        this.n_up * this.step_up,
      );
    }

    name_sides(context) {
      const { width, height } = this.canvas;
      const places = [
        [12, height / 2, "left", "middle"],
        [width - 12, height / 2, "right", "middle"],
        [width / 2, 8, "center", "top"],
        [width / 2, height - 6, "center", "alphabetic"],
      ];
      context.font = "600 24px system-ui, sans-serif";
      context.fillStyle = "#f2f2f2";
      context.strokeStyle = "#000";
      context.lineWidth = 5;
      context.lineJoin = "round";
      places.forEach(([x, y, align, baseline], n) => {
        context.textAlign = align;
        context.textBaseline = baseline;
        context.strokeText(this.plane.sides[n], x, y);
        context.fillText(this.plane.sides[n], x, y);
      });
    }

    // Open in the middle, so that what it points at is seen.
    cross(context) {
      const { width, height } = this.canvas;
      const { voxel } = this.viewer;
      const x = this.margin + (this.n_across - voxel[this.plane.across] - 0.5) * this.step_across;
      const y = this.margin + (this.n_up - voxel[this.plane.up] - 0.5) * this.step_up;
      const gap_x = this.step_across / 2 + 12;
      const gap_y = this.step_up / 2 + 12;
      const lines = new Path2D(
        `M0 ${y}H${x - gap_x}M${x + gap_x} ${y}H${width}M${x} 0V${y - gap_y}M${x} ${y + gap_y}V${height}`,
      );
      context.strokeStyle = "rgba(0, 0, 0, 0.6)";
      context.lineWidth = 4;
      context.stroke(lines);
      context.strokeStyle = "rgba(255, 255, 255, 0.85)";
      context.lineWidth = 1.5;
      context.stroke(lines);
    }
  }

  class Viewer {
    constructor(figure, volume, image, labels) {
      this.figure = figure;
      this.volume = volume;
      this.image = image;
      this.labels = labels;
      this.voxel = volume.lesions.length
        ? volume.lesions[0].voxel
        : volume.shape.map((n) => Math.floor(n / 2));
      this.build();
      this.paint();
    }

    build() {
      const { volume } = this;
      const widths_mm = PLANES.map(
        ({ across }) => volume.shape[across] * volume.spacing_mm[across] + 2 * MARGIN_MM,
      );
      const heights_mm = PLANES.map(({ up }) => volume.shape[up] * volume.spacing_mm[up] + 2 * MARGIN_MM);
      const width_mm = widths_mm.reduce((sum, width) => sum + width);
      const scale = PIXELS_ACROSS / width_mm;
      this.pictures = PLANES.map((plane) => new Picture(this, plane, scale));
      const planes = element(
        "div",
        { className: "viewer-planes" },
        this.pictures.map((picture) => picture.whole),
      );
      planes.style.maxWidth = `${(MOST_HEIGHT * width_mm) / Math.max(...heights_mm)}px`;
      planes.style.gridTemplateColumns = widths_mm.map((mm) => `minmax(0, ${mm}fr)`).join(" ");
      this.readout = element("p", { className: "viewer-readout" });
      this.readout.setAttribute("role", "status");
      const hint = element("p", {
        className: "viewer-hint",
        textContent:
          `${volume.image_label}. Radiological view: the patient's right is on the left. Click or drag to move the cross; ` +
          "a picture that was clicked follows the wheel, the arrow keys, Page Up and Page Down.",
      });
      const legend = element("ul", { className: "viewer-legend" }, volume.marks.map(legend_entry));
      this.figure.append(planes, this.readout, legend, this.controls(), hint);
    }

    controls() {
      this.overlay = element("input", { type: "checkbox", checked: true });
      this.opacity = element("input", { type: "range", min: 10, max: 100, step: 5, value: 80 });
      this.overlay.addEventListener("change", () => this.paint());
      this.opacity.addEventListener("input", () => this.paint());
      return element("div", { className: "viewer-controls" }, [
        this.jumps(),
        element("label", {}, [this.overlay, "Marks"]),
        element("label", {}, ["Opacity", this.opacity]),
      ]);
    }

    jumps() {
      const { lesions } = this.volume;
      if (!lesions.length) return element("span", { textContent: "No lesion to jump to." });
      const choice = element(
        "select",
        {},
        lesions.map(({ kind, volume_mm3 }, n) =>
          element("option", {
            value: n,
            textContent: `${n + 1} of ${lesions.length}: ${kind}, ${volume_mm3.toFixed(0)} mm³`,
          }),
        ),
      );
      choice.setAttribute("aria-label", "Lesion");
      choice.addEventListener("change", () => this.move(lesions[choice.value].voxel));
      const button = (textContent, by) => {
        const made = element("button", { type: "button", textContent });
        made.addEventListener("click", () => {
          choice.value = (Number(choice.value) + by + lesions.length) % lesions.length;
          this.move(lesions[choice.value].voxel);
        });
        return made;
      };
      return element("span", {}, [button("Previous lesion", -1), choice, button("Next lesion", 1)]);
    }

    move(voxel) {
      const { shape } = this.volume;
      this.voxel = voxel.map((x, n) => Math.min(Math.max(x, 0), shape[n] - 1));
      this.paint();
    }

    paint() {
      for (const picture of this.pictures) picture.paint();
      const { volume, voxel } = this;
      const at = voxel[0] + volume.shape[0] * (voxel[1] + volume.shape[1] * voxel[2]);
      const mark = volume.marks.find(({ value }) => value === this.labels[at]);
      const file_voxel = mapped(volume.voxel_to_file_voxel, voxel);
      this.readout.textContent =
        `Voxel ${file_voxel.join(", ")} of the file, from 0 · ` +
        `${in_words(mapped(volume.voxel_to_world_mm, voxel))} mm` +
        (mark ? ` · ${mark.label}` : "");
      this.figure.dataset.voxel = voxel.join(",");
    }

    // Value -> pixel, darker while marks are shown, so that they stand out in a grey print too.
    greys() {
      const { dimmed, grey_levels } = this.volume;
      const brightness = this.overlay.checked ? 1 - (1 - dimmed) * this.strength() : 1;
      return Uint32Array.from({ length: grey_levels }, (_, level) => {
        const grey = (255 * brightness * level) / (grey_levels - 1);
        return pixel([grey, grey, grey], 1);
      });
    }

    colours() {
      const table = new Uint32Array(256);
      for (const { value, colour, opacity } of this.volume.marks) {
        table[value] = pixel(red_green_blue(colour), opacity * this.strength());
      }
      return table;
    }

    strength() {
      return Number(this.opacity.value) / 100;
    }
  }

  // Four bytes as the canvas keeps them, in whatever order this machine reads a number.
  function pixel(colour, opacity) {
    const bytes = Uint8ClampedArray.from([...colour, 255 * opacity]);
    return new Uint32Array(bytes.buffer)[0];
  }

  function legend_entry({ label, colour }) {
    const swatch = element("i");
    swatch.style.background = colour;
    return element("li", {}, [swatch, label]);
  }

  async function open(figure) {
    const status = figure.querySelector(".viewer-status");
    const say = (state, text) => {
      figure.dataset.state = state;
      status.textContent = text;
      status.hidden = !text;
    };
    if (typeof DecompressionStream === "undefined") {
      say(
        "failed",
        "This browser cannot unpack the images of this page. " +
          "Chrome and Edge from 80, Firefox from 113 and Safari from 16.4 can.",
      );
      return;
    }
    say("reading", "Unpacking the images …");
    try {
      const volume = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      const [image, labels] = await Promise.all([unpacked(volume.image), unpacked(volume.labels)]);
      const n_voxels = volume.shape.reduce((product, n) => product * n);
      if (image.length !== n_voxels || labels.length !== n_voxels) throw new Error("voxels are missing");
      new Viewer(figure, volume, image, labels);
      say("ready", "");
    } catch (error) {
      say("failed", `The images in this page cannot be read (${error.message}). Make the page again.`);
    }
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        open(target);
      }
    },
    { rootMargin: "300px" },
  );
  for (const figure of document.querySelectorAll("figure.viewer")) {
    figure.dataset.state = "waiting"; // the style keeps a place for it, so that few are near at once
    seen.observe(figure);
  }
})();
