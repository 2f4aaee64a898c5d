// The measured function for functions-framework: gives the event back; says whether it is the process's first.
let start = "first";

exports.handler = (request, response) => {
  response.json({ start, event: request.body });
  start = "again";
};
