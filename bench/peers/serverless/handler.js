// The measured function for serverless-offline: gives the event back; says whether it is the process's first.
let start = "first";

exports.handler = async (event) => {
  const answer = { start, event };
  start = "again";
  return answer;
};
