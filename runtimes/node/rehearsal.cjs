// A function that does nothing: what a blank loads and runs once, so that the first real function finds everything warm.
'use strict';

exports.handler = async (event, context) => ({ event, request: context.awsRequestId });
