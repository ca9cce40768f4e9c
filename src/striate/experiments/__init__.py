"""One file for each result in the talk: data, striate, the published figure beside ours."""
