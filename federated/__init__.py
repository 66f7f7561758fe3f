"""Questions out, disclosure-controlled statistics back."""
