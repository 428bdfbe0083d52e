import { useState, type ReactNode } from "react";

interface Props<T> {
  items: readonly T[];
  render: (item: T, at: number) => ReactNode;
}

export function List<T extends { id: string }>({ items, render }: Props<T>) {
  const [open, setOpen] = useState<string | null>(null);
  if (items.length === 0) return <p className="empty">Nothing here yet.</p>;
  return (
    <>
      {/* the newest first */}
      <ul data-count={items.length}>
        {items.map((item, at) => (
          <li key={item.id} onClick={() => setOpen(item.id)} hidden={open !== item.id}>
            {render(item, at)}
            <Footer.Line {...item} label="a &amp; b" />
          </li>
        ))}
      </ul>
    </>
  );
}

const Footer = { Line: ({ label }: { label: string }) => <span>{label}</span> };
