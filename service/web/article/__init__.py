"""Write an article as HTML, as Markdown and in LaTeX."""
