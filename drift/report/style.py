"""The page's look. Colours are of Okabe and Ito's palette, darkened or lightened for contrast."""

CSS = """
:root{color-scheme:light dark;--page:#f7f7f4;--panel:#fff;--ink:#1b2430;--soft:#566171;
--rule:#dfe2e6;--faint:#eceef0;--now:#0062a3;--now-band:#0062a326;--before:#8b97a5;
--before-fill:#e6eaee;--estimate:#7a4b8f;--estimate-band:#7a4b8f22;--alert:#b8400a;
--alert-tint:#fbece4;--notice:#7a5a00;--notice-tint:#f8f1dc}
@media (prefers-color-scheme:dark){:root{--page:#11151b;--panel:#181e26;--ink:#e7ebf0;
--soft:#9fabba;--rule:#2e3742;--faint:#232a34;--now:#6db7f2;--now-band:#6db7f230;
--before:#8592a1;--before-fill:#2a333e;--estimate:#cfa3e0;--estimate-band:#cfa3e026;
--alert:#ff9463;--alert-tint:#3a231a;--notice:#e3bb57;--notice-tint:#332b17}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:70rem;margin:0 auto;padding:clamp(1.25rem,4vw,3rem) clamp(1rem,4vw,2.5rem) 4rem}
bdi{overflow-wrap:anywhere}
header .what{margin:0;color:var(--soft);font-size:.85rem;letter-spacing:.06em;
text-transform:uppercase}
h1{margin:.1rem 0 1rem;font-size:1.1rem;font-weight:600;color:var(--soft);overflow-wrap:anywhere}
.headline{margin:0 0 .75rem;font-size:clamp(1.45rem,4.2vw,2.15rem);line-height:1.22;
font-weight:650;letter-spacing:-.015em;max-width:34ch;text-wrap:balance}
.lede{margin:0;max-width:68ch;color:var(--soft)}
h2{margin:3.25rem 0 .4rem;font-size:1.25rem;letter-spacing:-.01em;line-height:1.3}
h3{margin:0;font-size:1.05rem;line-height:1.35}
section>p{margin:.2rem 0 1rem;max-width:72ch;color:var(--soft)}
a{color:var(--now)}
a:focus-visible,.scroll:focus-visible{outline:2px solid var(--now);outline-offset:2px}
nav{margin-top:1.5rem;font-size:.92rem}
nav a{display:inline-block;margin-right:1.1rem;padding:.15rem 0;text-underline-offset:.2em}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;
margin:2rem 0 0;background:var(--rule);border:1px solid var(--rule);border-radius:10px;
overflow:hidden}
.numbers div{padding:.85rem 1rem;background:var(--panel)}
.numbers dt{font-size:.8rem;color:var(--soft)}
.numbers dd{margin:.1rem 0 0;font-size:1.3rem;font-weight:600;line-height:1.25;
font-variant-numeric:tabular-nums}
.numbers small{display:block;margin-top:.15rem;font-size:.78rem;font-weight:400;color:var(--soft)}
.warnings{margin:1rem 0 0;padding:.75rem 1rem .75rem 2.1rem;background:var(--notice-tint);
border-left:3px solid var(--notice);border-radius:0 8px 8px 0;overflow-wrap:anywhere}
.card{margin:1rem 0;padding:1.1rem clamp(.9rem,2.5vw,1.4rem) 1.2rem;background:var(--panel);
border:1px solid var(--rule);border-radius:10px}
.card .sentence{margin:.35rem 0 0;max-width:76ch}
.card .note{margin:.25rem 0 0;font-size:.9rem;color:var(--soft)}
.pair{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:1rem 2.25rem}
@media (max-width:52rem){.pair{grid-template-columns:minmax(0,1fr)}}
figure{margin:1.1rem 0 0}
.card>figure:first-child,.pair>.card>figure{margin-top:0}
figcaption{font-size:.88rem;font-weight:600}
.legend{margin:.15rem 0 0;font-size:.82rem;color:var(--soft)}
.key{display:inline-flex;align-items:center;gap:.3rem;margin-right:1rem}
.plot{padding:14px 4px 0 40px}
.bins .plot{padding:6px 104px 0 138px}
.lanes .plot{padding:4px 8px 0}
.plot>svg,.key svg,.badge svg{display:block;overflow:visible}
.empty{color:var(--soft)}
svg text{font-size:12px;fill:var(--ink)}
svg .tick{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}
svg .middle{text-anchor:middle}svg .end{text-anchor:end}
svg .grid{stroke:var(--faint);stroke-width:1}
svg .lane{stroke:var(--rule);stroke-width:1}
svg .lane-name{font-size:12.5px}
svg .bound{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4;opacity:.8}
svg .bound-name{fill:var(--soft);font-size:11px;paint-order:stroke;stroke:var(--panel);
stroke-width:3px}
svg .reference{stroke:var(--soft);stroke-width:1.25;stroke-dasharray:7 4}
svg .change-line{stroke:var(--ink);stroke-width:1;stroke-dasharray:1 3}
svg .curve{fill:none;stroke-width:1.75;vector-effect:non-scaling-stroke;stroke-linejoin:round}
svg .curve.now{stroke:var(--now)}
svg .curve.estimate{stroke:var(--estimate);stroke-dasharray:5 3}
svg .band{stroke:none}
svg .band.now{fill:var(--now-band)}svg .band.estimate{fill:var(--estimate-band)}
svg .bar.before{fill:var(--before-fill);stroke:var(--before);stroke-width:1}
svg .bar.after{fill:var(--now)}
svg .special{font-style:italic;fill:var(--soft)}
svg .special-line{stroke:var(--rule);stroke-dasharray:3 3}
svg .value{font-size:11.5px;fill:var(--soft);font-variant-numeric:tabular-nums}
.m-alert{fill:var(--alert);stroke:var(--panel);stroke-width:1}
.m-notice{fill:var(--panel);stroke:var(--notice);stroke-width:1.75}
.m-change{fill:none;stroke:var(--ink);stroke-width:1.5}
.badge{display:inline-flex;align-items:center;gap:.25rem;padding:.05rem .55rem .05rem .4rem;
border-radius:99px;font-size:.8rem;font-weight:600;vertical-align:1px;white-space:nowrap}
.badge.alert{background:var(--alert-tint);color:var(--alert)}
.badge.notice{background:var(--notice-tint);color:var(--notice)}
.scroll{overflow:auto;max-height:36rem;margin:.75rem 0;background:var(--panel);
border:1px solid var(--rule);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
caption{padding:.6rem .9rem;text-align:left;color:var(--soft)}
th,td{padding:.42rem .75rem;text-align:left;vertical-align:top;border-top:1px solid var(--faint)}
thead th{position:sticky;top:0;z-index:1;background:var(--panel);color:var(--soft);
font-weight:600;vertical-align:bottom;box-shadow:inset 0 -1px var(--rule)}
tbody th{font-weight:600}
th bdi,td bdi{display:inline-block;min-width:6rem;max-width:18rem}
.figure,.time{white-space:nowrap}
.reasons{margin:0;padding-left:1.1rem;min-width:16rem;max-width:44rem}
.reasons bdi{display:inline;max-width:none}
.in-words{min-width:15rem;max-width:26rem;font-weight:400;color:var(--soft)}
.in-words bdi{display:inline;max-width:none}
.words{display:grid;gap:.6rem;margin:.75rem 0;max-width:76ch}
.words div{display:grid;grid-template-columns:8.5rem 1fr;gap:1rem}
@media (max-width:34rem){.words div{grid-template-columns:1fr;gap:0}
.bins .plot{padding-right:98px;padding-left:116px}}
.words dt{font-weight:600;overflow-wrap:anywhere}
.words dd{margin:0;color:var(--soft);overflow-wrap:anywhere}
.symbols{position:absolute;width:0;height:0}
@media print{body{background:#fff}.scroll{max-height:none;overflow:visible}
.card,figure{break-inside:avoid}nav{display:none}}
"""
