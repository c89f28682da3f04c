// Takes the one-time token out of the address: it stays out of history, server logs and whatever copies an address.

const field = document.getElementById("f-token");
if (field !== null && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
