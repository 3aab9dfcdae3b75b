# fae on a CPU, in the versions of constraints.txt. How to use it: docs/how-to/docker.md.
FROM python:3.11-slim

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt .

# Results, and the data set once it is downloaded, stay in /results: mount a folder of yours there.
# Caches of libraries go to /tmp, which any user may write.
ENV HOME=/tmp FAE_DATA=/results/data
WORKDIR /results
ENTRYPOINT ["fae"]
CMD ["train", "-m", "hidden=64,128,256,512"]
