// The measured function for workerd: gives the event back; says whether it is the isolate's first.
let start = "first";

export default {
  async fetch(request) {
    const answer = { start, event: await request.json() };
    start = "again";
    return Response.json(answer);
  },
};
