// The site's search runs in a worker. Browsers start none for a page that is read from the disk, so there it runs in a
// frame without a picture, which talks to the page as a worker does. (The site generator would load such a script from
// the internet; it leaves that out where a file of this name is configured.)
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      const waiting = [];
      this.postMessage = (data) => waiting.push(data);
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.addEventListener("load", () => this.run(new URL(url, document.baseURI), waiting), { once: true });
      document.body.append(this.frame);
    }

    run(url, waiting) {
      const inside = this.frame.contentWindow;
      const receive = (data) => setTimeout(() => inside.onmessage({ data }));
      inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }));
      const script = inside.document.createElement("script");
      script.src = url;
      script.onload = () => {
        this.postMessage = receive;
        waiting.forEach(receive);
      };
      script.onerror = (event) => this.onerror?.(event);
      inside.document.body.append(script);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
